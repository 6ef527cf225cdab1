"""Shared parts of the HTML pages: templates, style, thumbnails, security policy."""

from keras_involution.whale_id.pages.render import SUFFIXES as SUFFIXES
from keras_involution.whale_id.pages.render import Thumbnail as Thumbnail
from keras_involution.whale_id.pages.render import render as render
from keras_involution.whale_id.pages.render import write_page as write_page
from keras_involution.whale_id.pages.thumbnails import MARGIN as MARGIN
from keras_involution.whale_id.pages.thumbnails import Thumbnails as Thumbnails
from keras_involution.whale_id.pages.thumbnails import data_uri as data_uri
from keras_involution.whale_id.pages.thumbnails import load_thumbnail as load_thumbnail

"""What the HTML pages share: pictures as data, one style, escaped text."""

from keras_involution.whale_id._pages.html import SUFFIXES as SUFFIXES
from keras_involution.whale_id._pages.html import fill as fill
from keras_involution.whale_id._pages.html import image as image
from keras_involution.whale_id._pages.html import numbers as numbers
from keras_involution.whale_id._pages.html import require_plots as require_plots
from keras_involution.whale_id._pages.pictures import MARGIN as MARGIN
from keras_involution.whale_id._pages.pictures import Thumbnails as Thumbnails
from keras_involution.whale_id._pages.pictures import data_uri as data_uri
from keras_involution.whale_id._pages.pictures import load_picture as load_picture

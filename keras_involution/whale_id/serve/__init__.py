"""A server that identifies animals in photos."""

from keras_involution.whale_id.serve.app import create_app as create_app
from keras_involution.whale_id.serve.limits import Limits as Limits
from keras_involution.whale_id.serve.matcher import Matcher as Matcher
from keras_involution.whale_id.serve.server import build_server as build_server

# The public names; `__init__.py` imports each on first use.

from . import data as data
from . import distribution as distribution
from . import export as export
from . import hub as hub
from . import integrations as integrations
from . import layers as layers
from . import models as models
from . import ops as ops
from . import training as training
from . import visualization as visualization
from . import whale_id as whale_id
from ._builtin import list_presets as list_presets
from .models import RedNet26 as RedNet26
from .models import RedNet38 as RedNet38
from .models import RedNet50 as RedNet50
from .models import RedNet101 as RedNet101
from .models import RedNet152 as RedNet152
from .models import RedNetBackbone as RedNetBackbone
from .models import RedNetImageClassifier as RedNetImageClassifier
from .models import RedNetImageConverter as RedNetImageConverter

__version__: str

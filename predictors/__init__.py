"""Which placements will do best on a task, before any is trained.

Free of torch and of autoplace: tables in, predicted gains out. The table of contents is
`__init__.pyi`; a name is imported when it is first used, so that `predictors.vocabulary`
costs nothing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

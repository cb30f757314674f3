# For Cython users: `from picows.picows cimport WSListener, WSTransport, WSFrame, WSMsgType ...`

from .assembler cimport WSMessageAssembler
from .frame cimport WSAutoPingStrategy, WSCloseCode, WSFrame, WSMsgType
from .listener cimport WSListener
from .transport cimport WSTransport

/* What sys.monitoring keeps for a code object, CPython 3.14 and later: only the internal headers
 * know it. */
#include "py/cpython/compat.h"

#ifndef Py_BUILD_CORE
#define Py_BUILD_CORE 1
#endif
#include <internal/pycore_instruments.h>

#include "py/cpython/monitoring_312.h"

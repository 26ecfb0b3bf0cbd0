#include "py/cpython/frames.h"

_Atomic uintptr_t mp_frames_cleanup;

bool
mp_frame_is_named_cleanup(uintptr_t code)
{
    const PyCodeObject *object = (const PyCodeObject *)code;
    assert(object && Py_IS_TYPE((PyObject *)code, &PyCode_Type));
    if (object->co_filename != object->co_name) /* so in no code that was compiled */
        return false;
    atomic_store_explicit(&mp_frames_cleanup, code, memory_order_relaxed);
    return true;
}

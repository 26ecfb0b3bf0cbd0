#include "py/heap/frame_slots.h"

#include "py/cpython/frames.h"

/* The object behind a slot of a frame; NULL for an empty one and for what is no object. */
static PyObject *
slot_object(uintptr_t slot)
{
    if (MP_FRAME_TAGGED && (slot & 3) == 3)
        return NULL; /* a small number */
    return (PyObject *)(MP_FRAME_TAGGED ? slot & ~(uintptr_t)7 : slot);
}

const PyCodeObject *
mp_frame_slots_code(const struct mp_pass *pass, const char *frame)
{
    PyObject *code = (PyObject *)mp_frame_code(frame);
    return code && mp_pass_can_read(pass, code, sizeof(PyCodeObject)) && PyCode_Check(code)
               ? (const PyCodeObject *)code
               : NULL;
}

void
mp_frame_slots_locals(const struct mp_pass *pass, const char *frame, mp_local_visit *visit,
                      void *data)
{
    const PyCodeObject *code = mp_frame_slots_code(pass, frame);
    const uintptr_t *slots = (const uintptr_t *)(frame + MP_FRAME_LOCALS);
    if (!code || !mp_pass_can_read(pass, slots, (size_t)code->co_nlocalsplus * sizeof *slots))
        return;
    for (int i = 0; i < code->co_nlocalsplus; i++) {
        PyObject *value = slot_object(slots[i]);
        if (value)
            visit(PyTuple_GET_ITEM(code->co_localsplusnames, i), value, data);
    }
}

void
mp_frame_slots_stack(const struct mp_pass *pass, const char *frame, mp_local_visit *visit,
                     void *data)
{
    const PyCodeObject *code = mp_frame_slots_code(pass, frame);
    const uintptr_t *slots = (const uintptr_t *)(frame + MP_FRAME_LOCALS);
    const int begin = code ? code->co_nlocalsplus : 0, end = code ? begin + code->co_stacksize : 0;
    if (!code || !mp_pass_can_read(pass, slots, (size_t)end * sizeof *slots))
        return;
    for (int i = begin; i < end; i++)
        visit(NULL, slot_object(slots[i]), data);
}

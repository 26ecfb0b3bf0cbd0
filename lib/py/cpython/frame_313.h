/* Frames of CPython 3.13: _PyInterpreterFrame in Include/internal/pycore_frame.h. */
#ifndef MP_FRAME_H
#define MP_FRAME_H

enum {
    MP_FRAME_CODE = 0,       /* f_executable */
    MP_FRAME_PREVIOUS = 8,
    MP_FRAME_IP = 56,        /* instr_ptr: the current instruction */
    MP_FRAME_OWNER = 70,
    MP_FRAME_OWNER_LAST = 2, /* owners above this are not Python code */
    MP_FRAME_LOCALS = 72,    /* localsplus */
    MP_FRAME_STACK_TOP = 64, /* stacktop */
    MP_FRAME_HAS_SHIMS = 1,  /* frames of the interpreter lie between those of code */
    MP_FRAME_HAS_CLEANUP = 1, /* one of the interpreter lies outside of each __init__ */
    MP_FRAME_TAGGED = 0,     /* the reference to the code carries tag bits */
};

static inline const char *
mp_frame_top(const PyThreadState *tstate)
{
    return (const char *)tstate->current_frame;
}

/* Let the thread's stack of frames end or go on elsewhere; for mp_frame_top(). */
static inline void
mp_frame_set_top(PyThreadState *tstate, const char *frame)
{
    tstate->current_frame = (struct _PyInterpreterFrame *)frame;
}

#endif

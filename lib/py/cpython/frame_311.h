/* Frames of CPython 3.11: _PyInterpreterFrame in Include/internal/pycore_frame.h. */
#ifndef MP_FRAME_H
#define MP_FRAME_H

enum {
    MP_FRAME_CODE = 32,      /* f_code */
    MP_FRAME_PREVIOUS = 48,
    MP_FRAME_IP = 56,        /* prev_instr: the instruction executed last */
    MP_FRAME_OWNER = 69,
    MP_FRAME_OWNER_LAST = 2, /* owners above this are not Python code */
    MP_FRAME_LOCALS = 72,    /* localsplus */
    MP_FRAME_STACK_TOP = 64, /* stacktop */
    MP_FRAME_HAS_SHIMS = 0,  /* frames of the interpreter lie between those of code */
    MP_FRAME_HAS_CLEANUP = 0, /* one of the interpreter lies outside of each __init__ */
    MP_FRAME_TAGGED = 0,     /* the reference to the code carries tag bits */
};

static inline const char *
mp_frame_top(const PyThreadState *tstate)
{
    return tstate->cframe ? (const char *)tstate->cframe->current_frame : NULL;
}

/* Let the thread's stack of frames end or go on elsewhere; for mp_frame_top(). */
static inline void
mp_frame_set_top(PyThreadState *tstate, const char *frame)
{
    tstate->cframe->current_frame = (struct _PyInterpreterFrame *)frame;
}

#endif

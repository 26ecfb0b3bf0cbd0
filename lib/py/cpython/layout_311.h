/* layout: where CPython 3.11 has what. For compat.h.
 *
 * Frames: _PyInterpreterFrame in Include/internal/pycore_frame.h. */
#ifndef MP_LAYOUT_H
#define MP_LAYOUT_H

enum {
    MP_FRAME_CODE = 32,       /* f_code */
    MP_FRAME_PREVIOUS = 48,
    MP_FRAME_IP = 56,         /* prev_instr: the instruction executed last */
    MP_FRAME_OWNER = 69,
    MP_FRAME_OWNER_LAST = 2,  /* owners above this are not Python code */
    MP_FRAME_LOCALS = 72,     /* localsplus */
    MP_FRAME_STACK_TOP = 64,  /* stacktop */
    MP_FRAME_HAS_SHIMS = 0,   /* frames of the interpreter lie between those of code */
    MP_FRAME_HAS_CLEANUP = 0, /* one of the interpreter lies outside of each __init__ */
    MP_FRAME_TAGGED = 0,      /* the reference to the code carries tag bits */
};

/* What has `current_frame`, the innermost one. */
#define MP_FRAME_HOLDER(tstate) ((tstate)->cframe)
enum { MP_FRAME_HOLDER_MAY_MISS = 1 };

/* What the innermost frame is when no Python code runs. */
#define MP_FRAME_OUTERMOST(tstate) NULL

/* Attributes of an instance without a dict: a block of values beside it. In front of the instance
 * are a word for the dict and one for the values. */
enum {
    MP_PREHEADER_FLAGS = 1 << 4, /* of types whose instances have such words: MANAGED_DICT */
    MP_DICT_WORD = -3,           /* counted from the object */
    MP_DICT_TAG = 0,             /* set in that word: it is no dict, and leads to the values */
    MP_VALUES_WORD = -4,
    MP_VALUES_INLINE = 0,        /* of types whose instances have the values within */
    MP_VALUES_HAVE_PREFIX = 1,   /* a byte before them: how far from it their block begins */
};

/* What a bytearray's bytes lie in: a buffer. */
#define MP_BYTEARRAY_BLOCK(array) ((array)->ob_bytes)
enum { MP_BYTEARRAY_HAS_BYTES = 0 };

/* There is no table of offsets for debuggers. */
#define MP_DEBUG_FRAME 0

#endif

/* layout: where CPython 3.15 has what. For compat.h.
 *
 * Frames: _PyInterpreterFrame in Include/internal/pycore_interpframe_structs.h. */
#ifndef MP_LAYOUT_H
#define MP_LAYOUT_H

enum {
    MP_FRAME_CODE = 0,        /* f_executable, a tagged reference */
    MP_FRAME_PREVIOUS = 8,
    MP_FRAME_IP = 56,         /* instr_ptr: the current instruction */
#ifdef Py_GIL_DISABLED
    MP_FRAME_OWNER = 78,
#else
    MP_FRAME_OWNER = 74,
#endif
    MP_FRAME_OWNER_LAST = 2,  /* owners above this are not Python code */
    MP_FRAME_LOCALS = 80,     /* localsplus */
    MP_FRAME_STACK_TOP = 64,  /* stackpointer */
    MP_FRAME_HAS_SHIMS = 1,   /* frames of the interpreter lie between those of code */
    MP_FRAME_HAS_CLEANUP = 1, /* one of the interpreter lies outside of each __init__ */
    MP_FRAME_TAGGED = 1,      /* the reference to the code carries tag bits */
};

/* What has `current_frame`, the innermost one. */
#define MP_FRAME_HOLDER(tstate) (tstate)
enum { MP_FRAME_HOLDER_MAY_MISS = 0 };

/* What the innermost frame is when no Python code runs. */
#define MP_FRAME_OUTERMOST(tstate) ((tstate)->base_frame)

/* Attributes of an instance without a dict: the values lie within the instance, behind its
 * fields. */
enum {
    MP_PREHEADER_FLAGS = 1 << 4, /* of types whose instances have a word in front: MANAGED_DICT */
#ifdef Py_GIL_DISABLED
    MP_DICT_WORD = -1,           /* counted from the object */
#else
    MP_DICT_WORD = -3,
#endif
    MP_DICT_TAG = 0,             /* set in that word: it is no dict, and leads to the values */
    MP_VALUES_WORD = 0,          /* there is none */
    MP_VALUES_INLINE = 1 << 2,   /* of types whose instances have the values within */
    MP_VALUES_HAVE_PREFIX = 0,   /* a byte before them: how far from it their block begins */
};

/* What a bytearray's bytes lie in: a bytes object of its own, which nobody else knows until the
 * array gives it away. An empty array has the empty bytes. */
#define MP_BYTEARRAY_BLOCK(array) ((array)->ob_bytes_object)
enum { MP_BYTEARRAY_HAS_BYTES = 1 };

/* Where the table of offsets for debuggers, with which _PyRuntime begins, has its words: of a
 * frame (previous, executable, instr_ptr, localsplus, owner) and others. */
#define MP_DEBUG_FREE_THREADED 16
#define MP_DEBUG_FRAME 320
#define MP_DEBUG_CURRENT_FRAME 208
#define MP_DEBUG_CODE_START 448

#endif

/* CPython before 3.15 does not tell which frames have ended. */
#ifndef MP_ANCHOR_H
#define MP_ANCHOR_H

enum { MP_HAS_ANCHOR = 0 };

static inline uintptr_t
mp_anchor_kept(const struct mp_trail *trail, const PyThreadState *tstate)
{
    (void)trail;
    (void)tstate;
    return 0;
}

static inline bool
mp_anchor_end_is_told(const char *frame)
{
    (void)frame;
    return false;
}

static inline void
mp_anchor_release(struct mp_trail *trail, PyThreadState *tstate)
{
    (void)trail;
    (void)tstate;
}

static inline void
mp_anchor_set(struct mp_trail *trail, PyThreadState *tstate)
{
    (void)trail;
    (void)tstate;
}

#endif

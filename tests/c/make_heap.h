/* Heaps from literals, with an inspector that answers from them. Include it after test.h and
 * graph/inspector.h. */
#ifndef MP_MAKE_HEAP_H
#define MP_MAKE_HEAP_H

/* Rows of literals leave out what is 0. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

struct node {
    const char *type; /* with a dot: a class of the program */
    uint64_t size;
    uint32_t site;
    uint32_t more_references; /* than edges */
    bool uncounted;           /* its references are not counted */
};

struct link {
    uint32_t from, to;
    enum mp_step step;
    const char *text; /* of the step, or NULL */
    int64_t index;
    enum mp_role role; /* of `to` */
};

struct root {
    uint32_t node;
    enum mp_root_kind kind;
    const char *name, *function;
};

/* Nodes are 1, 2 ...; the links of one node are its edges, in this order. */
struct literal {
    const struct node *nodes;
    size_t node_count;
    const struct link *links;
    size_t link_count;
    const struct root *roots;
    size_t root_count;
};

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define LITERAL(nodes, links, roots)                                                         \
    (&(const struct literal){nodes, COUNT(nodes), links, COUNT(links), roots, COUNT(roots)})

struct made {
    struct mp_heap heap;
    struct mp_inspector inspector;
    const struct literal *from;
    struct mp_held watched; /* of the node that a test names here: how it was held */
};

static inline uintptr_t
address_of(uint32_t node)
{
    return 0x10000000u + (uintptr_t)node * 32;
}

/* ---- the answers -------------------------------------------------------------------------- */

static inline int64_t
literal_references(const struct mp_inspector *inspector, uint32_t node)
{
    const struct made *made = inspector->context;
    const struct node *of = &made->from->nodes[node - 1];
    int64_t count = of->more_references;
    for (size_t i = 0; i < made->from->link_count; i++)
        count += made->from->links[i].to == node;
    return of->uncounted ? -1 : count;
}

static inline void
literal_children(const struct mp_inspector *inspector, const struct mp_held *held,
                 mp_child_visit *visit, void *data)
{
    struct made *made = (struct made *)(uintptr_t)inspector->context;
    const struct literal *from = made->from;
    if (held->node == made->watched.node)
        made->watched = *held;
    for (size_t i = 0; i < from->link_count; i++)
        if (from->links[i].from == held->node && from->links[i].step != MP_STEP_FIELD)
            visit(from->links[i].to,
                  &(struct mp_label){.step = from->links[i].step, .role = from->links[i].role,
                                     .index = from->links[i].index,
                                     .text = from->links[i].text},
                  data);
    for (size_t i = 0; i < from->link_count; i++)
        if (from->links[i].from == held->node)
            visit(from->links[i].to, &(struct mp_label){.step = MP_STEP_FIELD}, data);
}

static inline size_t
literal_text(const struct mp_inspector *inspector, const struct mp_label *label, char *out,
             size_t size)
{
    const size_t length = strnlen(label->text, size);
    (void)inspector;
    memcpy(out, label->text, length);
    return length;
}

/* ---- making it ---------------------------------------------------------------------------- */

static inline uint32_t
intern(struct mp_heap *heap, const char *text)
{
    return text ? mp_names_intern(&heap->names, text, strlen(text)) : 0;
}

static inline uint32_t
flags_of_name(const char *name)
{
    return strcmp(name, "type") == 0        ? MP_TYPE_IS_TYPE
           : strcmp(name, "module") == 0    ? MP_TYPE_IS_MODULE
           : strcmp(name, "generator") == 0 ? MP_TYPE_IS_SUSPENDED
           : strcmp(name, "cell") == 0      ? MP_TYPE_IS_CELL
                                            : 0;
}

/* The type with a name: what is behind the last dot is its short one. */
static inline uint32_t
type_named(struct mp_heap *heap, const char *name)
{
    const char *dot = strrchr(name, '.');
    struct mp_heap_type type = {.identity = (uintptr_t)name,
                                .name = intern(heap, name),
                                .short_name = intern(heap, dot ? dot + 1 : name),
                                .flags = flags_of_name(name),
                                .built_in = !dot};
    for (uint32_t i = 1; i <= heap->type_count; i++)
        if (heap->types[i].name == type.name)
            return i;
    return mp_heap_add_type(heap, &type);
}

static inline void
make_rows(struct mp_heap *heap, const struct literal *from)
{
    while (heap->rows < heap->graph.nodes && !heap->failed) {
        const uint32_t node = mp_heap_open_row(heap);
        for (size_t i = 0; i < from->link_count; i++)
            if (from->links[i].from == node)
                mp_heap_add_edge(heap, from->links[i].to);
        mp_heap_close_row(heap);
    }
}

/* Without a check that it worked: see make_heap. */
static inline int
try_heap(struct made *made, const struct literal *from)
{
    struct mp_heap *heap = &made->heap;
    *made = (struct made){.from = from};
    made->inspector =
        (struct mp_inspector){heap, made, literal_references, literal_children, literal_text};
    if (mp_heap_init(heap) != MP_OK)
        return MP_NO_MEMORY;
    for (size_t i = 0; i < from->node_count && !heap->failed; i++) {
        const uint32_t type = type_named(heap, from->nodes[i].type);
        const uint32_t node = type ? mp_heap_add_node(heap, address_of((uint32_t)i + 1), type) : 0;
        heap->size[node] = node ? from->nodes[i].size : 0;
        heap->site[node] = node ? from->nodes[i].site : 0;
    }
    make_rows(heap, from);
    for (size_t i = 0; i < from->root_count && !heap->failed; i++)
        mp_heap_add_root(heap, &(struct mp_root){.node = from->roots[i].node,
                                                 .kind = from->roots[i].kind,
                                                 .name = intern(heap, from->roots[i].name),
                                                 .name2 = intern(heap, from->roots[i].function)});
    if (heap->failed)
        mp_heap_free(heap);
    return heap->address ? MP_OK : MP_NO_MEMORY;
}

static inline void
assert_heap(const struct mp_heap *heap)
{
    const char *why;
    if (!mp_heap_check(heap, &why))
        fail_msg("%s", why);
}

static inline void
make_heap(struct made *made, const struct literal *from)
{
    assert_int_equal(try_heap(made, from), MP_OK);
    assert_heap(&made->heap);
}

static inline void
free_heap(struct made *made)
{
    mp_heap_free(&made->heap);
}

#endif

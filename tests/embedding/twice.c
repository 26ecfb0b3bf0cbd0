/* Starts and ends the interpreter several times: twice PYTHON SOURCE...
 *
 * Each SOURCE is run in an interpreter of its own, one after the other. Between them, and in
 * the destructor of a thread's data, memory is asked for and given back without any Python.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <pthread.h>

static pthread_key_t key;
static pthread_barrier_t over;

static void
free_late(void *block)
{
    PyMem_RawFree(block);
    PyMem_RawFree(PyMem_RawCalloc(10, 100));
}

/* A thread that has run Python code, and ends after the interpreter. */
static void *
outlive(void *Py_UNUSED(unused))
{
    const PyGILState_STATE state = PyGILState_Ensure();
    const int failed = PyRun_SimpleString("in_the_thread = [bytes(n) for n in range(1000)]");
    pthread_setspecific(key, PyMem_RawMalloc(3000));
    PyGILState_Release(state);
    pthread_barrier_wait(&over);
    pthread_barrier_wait(&over);
    PyMem_RawFree(PyMem_RawRealloc(PyMem_RawMalloc(10), 100000));
    return failed ? &key : NULL;
}

static int
start(const char *python)
{
    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    config.parse_argv = 0;
    PyStatus status = PyConfig_SetBytesString(&config, &config.program_name, python);
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    return PyStatus_Exception(status) ? -1 : 0;
}

static int
run(const char *python, const char *source)
{
    pthread_t thread;
    void *failed;
    if (start(python) || PyRun_SimpleString(source))
        return 1;
    PyThreadState *state = PyEval_SaveThread();
    pthread_create(&thread, NULL, outlive, NULL);
    pthread_barrier_wait(&over);
    PyEval_RestoreThread(state);
    const int status = Py_FinalizeEx();
    void *block = PyMem_RawRealloc(PyMem_RawMalloc(100), 5000);
    pthread_barrier_wait(&over);
    pthread_join(thread, &failed);
    PyMem_RawFree(block);
    return status || failed;
}

int
main(int count, char **words)
{
    pthread_key_create(&key, free_late);
    pthread_barrier_init(&over, NULL, 2);
    for (int i = 2; i < count; i++)
        if (run(words[1], words[i]))
            return i;
    puts("over");
    return 0;
}

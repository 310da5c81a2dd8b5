/* radgen._native._image: kernels of the imaging features. Stable ABI, buffer protocol only. */
#include "arrays.h"

static int add_methods(PyObject *module)
{
    PyMethodDef *groups[] = {
        matrix_methods, zone_methods, neighbour_methods, shape_methods, ball_methods,
        near_ball_methods, voxel_methods, hull_methods, box_methods, lattice_methods,
        pair_methods, coarse_methods, number_methods,
    };
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        if (PyModule_AddFunctions(module, groups[i]) < 0) {
            return -1;
        }
    }
    return 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, (void *)add_methods}, {0, NULL}};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "radgen._native._image",
    .m_doc = "Kernels of the imaging features.",
    .m_size = 0,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__image(void)
{
    return PyModuleDef_Init(&definition);
}

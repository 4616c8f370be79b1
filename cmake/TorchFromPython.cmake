# LibTorch as the chosen interpreter's torch ships it.
#
# find_package(Torch) stops with an error for a CUDA build of torch on a machine without nvcc,
# although code that is written in ATen operators alone needs no CUDA toolkit and still runs on CUDA
# tensors. So the interpreter is asked where its torch lies, and plain imported targets are declared.
#
# Defines: torch::c10, torch::torch_cpu, torch::torch_python,
#          DNNBRAIN_TORCH_VERSION, DNNBRAIN_TORCH_CUDA, DNNBRAIN_TORCH_LIB_DIR

set(_ask_torch [=[
import pathlib, sys
try:
    import torch
    from torch.utils.cpp_extension import include_paths
except ImportError as error:
    sys.exit(f"{error}")
root = pathlib.Path(torch.__file__).parent
print(torch.__version__)
print((root / "lib").as_posix())
# Some builds list include folders (TH, THC) that do not exist; CMake would refuse them.
print(";".join(pathlib.Path(p).as_posix() for p in include_paths() if pathlib.Path(p).is_dir()))
print(int(torch._C._GLIBCXX_USE_CXX11_ABI))
print(torch.version.cuda or "none")
]=])
execute_process(
  COMMAND "${Python_EXECUTABLE}" -W ignore -c "${_ask_torch}"
  OUTPUT_VARIABLE _torch_facts ERROR_VARIABLE _torch_error
  RESULT_VARIABLE _torch_result OUTPUT_STRIP_TRAILING_WHITESPACE)
if(NOT _torch_result EQUAL 0)
  message(FATAL_ERROR "${Python_EXECUTABLE} cannot import torch: ${_torch_error}\n"
                      "Install torch first, then build with 'pip install --no-build-isolation .'.")
endif()

string(REPLACE ";" "\\;" _torch_facts "${_torch_facts}")
string(REPLACE "\n" ";" _torch_facts "${_torch_facts}")
list(GET _torch_facts 0 DNNBRAIN_TORCH_VERSION)
list(GET _torch_facts 1 DNNBRAIN_TORCH_LIB_DIR)
list(GET _torch_facts 2 _torch_includes)
list(GET _torch_facts 3 _torch_abi)
list(GET _torch_facts 4 DNNBRAIN_TORCH_CUDA)
if(DNNBRAIN_TORCH_VERSION VERSION_LESS 2.11)
  message(FATAL_ERROR "torch 2.11 or later is needed; ${Python_EXECUTABLE} has "
                      "${DNNBRAIN_TORCH_VERSION}.")
endif()
message(STATUS "torch ${DNNBRAIN_TORCH_VERSION} (CUDA ${DNNBRAIN_TORCH_CUDA}): "
               "${DNNBRAIN_TORCH_LIB_DIR}")

foreach(_library IN ITEMS c10 torch_cpu torch_python)
  add_library(torch::${_library} SHARED IMPORTED)
  set_target_properties(
    torch::${_library}
    PROPERTIES IMPORTED_LOCATION "${DNNBRAIN_TORCH_LIB_DIR}/lib${_library}.so"
               INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${_torch_includes}"
               INTERFACE_INCLUDE_DIRECTORIES "${_torch_includes}"
               INTERFACE_COMPILE_DEFINITIONS "_GLIBCXX_USE_CXX11_ABI=${_torch_abi}")
endforeach()
target_link_libraries(torch::torch_cpu INTERFACE torch::c10)
target_link_libraries(torch::torch_python INTERFACE torch::torch_cpu)

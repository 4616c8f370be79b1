# Every dependency, with its floor, in one place.

find_package(Python 3.11 REQUIRED COMPONENTS Interpreter Development.Module)
message(STATUS "Python ${Python_VERSION}: ${Python_EXECUTABLE}")

if(NOT pybind11_ROOT)
  execute_process(
    COMMAND "${Python_EXECUTABLE}" -m pybind11 --cmakedir
    OUTPUT_VARIABLE pybind11_ROOT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
find_package(pybind11 3.0 CONFIG REQUIRED)

find_package(OpenMP REQUIRED COMPONENTS CXX)

# A system's Eigen if there is one, else the headers of the PyPI package cmeel-eigen: no root needed.
find_package(Eigen3 3.4 CONFIG QUIET)
if(NOT TARGET Eigen3::Eigen)
  execute_process(
    COMMAND
      "${Python_EXECUTABLE}" -c
      "import importlib.metadata as m, pathlib; \
f = m.distribution('cmeel-eigen').locate_file('cmeel.prefix/include/eigen3'); \
print(pathlib.Path(f).as_posix())"
    OUTPUT_VARIABLE _eigen_include OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(NOT EXISTS "${_eigen_include}/Eigen/Core")
    message(FATAL_ERROR "Eigen 3.4 is needed and was not found. Install it with "
                        "'pip install cmeel-eigen' or your system's Eigen package.")
  endif()
  add_library(Eigen3::Eigen INTERFACE IMPORTED)
  target_include_directories(Eigen3::Eigen SYSTEM INTERFACE "${_eigen_include}")
endif()

include(TorchFromPython)

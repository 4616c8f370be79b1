// A test program: cases register themselves, a failed check is printed and fails the program, and
// the rest of the cases still run. Include it in the one source file of the program.
#pragma once

#include <cmath>
#include <exception>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

namespace check {

struct Case {
  const char* name;
  void (*body)();
};

inline std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}

inline int& failures() {
  static int count = 0;
  return count;
}

inline bool add(const char* name, void (*body)()) {
  cases().push_back({name, body});
  return true;
}

template <class... Parts>
void fail(const char* file, int line, const Parts&... parts) {
  ++failures();
  std::cerr << file << ':' << line << ": ";
  (std::cerr << ... << parts) << '\n';
}

template <class A, class B>
void equal(const A& a, const B& b, const char* text, const char* file, int line) {
  if (!(a == b)) fail(file, line, text, ": ", a, " and ", b, " differ");
}

template <class T>
void equal(const std::vector<T>& a,
           const std::vector<T>& b,
           const char* text,
           const char* file,
           int line) {
  if (a.size() != b.size()) return fail(file, line, text, ": sizes ", a.size(), ", ", b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!(a[i] == b[i])) return fail(file, line, text, ": [", i, "] is ", a[i], ", ", b[i]);
  }
}

inline void near(
    double a, double b, double tolerance, const char* text, const char* file, int line) {
  if (!(std::abs(a - b) <= tolerance)) {
    fail(file, line, text, ": ", a, " and ", b, " differ by more than ", tolerance);
  }
}

/// The message of the Expected that body throws; a failure when it does not throw one.
template <class Expected, class Body>
std::string thrown(const Body& body, const char* text, const char* file, int line) {
  try {
    body();
  } catch (const Expected& error) {
    return error.what();
  } catch (...) {
    fail(file, line, text, " threw something else");
    return {};
  }
  fail(file, line, text, " threw nothing");
  return {};
}

}  // namespace check

#define TEST(name)                                             \
  static void name();                                          \
  static const bool name##_added = ::check::add(#name, &name); \
  static void name()

#define CHECK(condition)                                                              \
  do {                                                                                \
    if (!(condition)) ::check::fail(__FILE__, __LINE__, #condition " does not hold"); \
  } while (false)
#define CHECK_EQUAL(a, b) ::check::equal((a), (b), #a " == " #b, __FILE__, __LINE__)
#define CHECK_NEAR(a, b, tolerance) \
  ::check::near((a), (b), (tolerance), #a " ~ " #b, __FILE__, __LINE__)
#define CHECK_THROWS(Expected, ...) \
  ::check::thrown<Expected>([&] { __VA_ARGS__; }, #__VA_ARGS__, __FILE__, __LINE__)

int main() {
  for (const auto& [name, body] : ::check::cases()) {
    const int before = ::check::failures();
    try {
      body();
    } catch (const std::exception& error) {
      ::check::fail(name, 0, "threw: ", error.what());
    }
    std::cout << (::check::failures() == before ? "ok      " : "FAILED  ") << name << '\n';
  }
  return ::check::failures() == 0 ? 0 : 1;
}

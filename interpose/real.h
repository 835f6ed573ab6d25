// The functions behind the wrappers: the next definition of the same name (dlsym(3), RTLD_NEXT).
// Looked up by the constructor, so that no wrapper does it in a signal handler or a vfork child;
// a constructor of another library may come first, and then the first call looks it up.
#pragma once

#include <dlfcn.h>

namespace ck::agent {

template <typename Function>
class Real {
 public:
  constexpr explicit Real(const char* name) : name_(name) {}
  Function* get() {
    if (function_ == nullptr) function_ = reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name_));
    return function_;
  }

 private:
  const char* name_;
  Function* function_ = nullptr;
};

}  // namespace ck::agent

// CK_REAL(name): the real function of a wrapper in this file. CK_LOOK_UP at the constructor.
#define CK_DEFINE_REAL(name) static constinit ::ck::agent::Real<decltype(::name)> real_##name(#name)
#define CK_REAL(name) (real_##name.get())

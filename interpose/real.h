// The functions behind the wrappers: the next definition of the same name, as dlsym(3) with
// RTLD_NEXT finds it. Looked up by the constructor, so that no wrapper does it in a signal handler
// or a vfork child; a constructor of another library may come first, and then the first call looks
// it up.
#pragma once

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdint.h>

namespace ck::agent {

// DT_GNU_HASH's (the ABI has no document of its own; binutils, bfd_elf_gnu_hash).
constexpr uint32_t symbol_hash(const char* name) {
  uint32_t hash = 5381;
  for (; *name != '\0'; ++name) hash = hash * 33 + static_cast<unsigned char>(*name);
  return hash;
}

// The libraries that come after this one in the order of search. dlsym takes 0.9 microseconds a
// name, of which an exec needs fifty; this a tenth of that.
class NextLibraries {
 public:
  // `own`: an address in the library that asks.
  explicit NextLibraries(const void* own);
  // Null: none has it, or it is better left to dlsym.
  void* find(const char* name, uint32_t hash) const;

 private:
  struct Library {
    uint64_t base;
    const Elf64_Sym* symbols;
    const char* strings;
    const Elf64_Half* versions;  // null: none
    const uint32_t* hashes;      // DT_GNU_HASH
    void* find(const char* name, uint32_t hash, bool& unsure) const;
  };
  static constexpr int kMost = 32;
  bool add(const link_map* map);
  Library libraries_[kMost];
  int count_ = 0;
  bool complete_ = false;
};

template <typename Function>
class Real {
 public:
  constexpr explicit Real(const char* name) : name_(name), hash_(symbol_hash(name)) {}
  Function* get() {
    if (function_ == nullptr) function_ = reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name_));
    return function_;
  }
  void look_up(const NextLibraries& libraries) {
    if (function_ == nullptr) function_ = reinterpret_cast<Function*>(libraries.find(name_, hash_));
    get();
  }

 private:
  const char* name_;
  Function* function_ = nullptr;
  uint32_t hash_;
};

}  // namespace ck::agent

// CK_REAL(name): the real function of a wrapper in this file. CK_LOOK_UP at the constructor.
#define CK_DEFINE_REAL(name) static constinit ::ck::agent::Real<decltype(::name)> real_##name(#name)
#define CK_REAL(name) (real_##name.get())
#define CK_LOOK_UP(name) real_##name.look_up(libraries)

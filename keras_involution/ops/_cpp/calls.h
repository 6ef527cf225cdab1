// Shared code with which calls of XLA and TensorFlow find the library of the kernels. A
// call names the library's file, so that a program stored for another process can find
// the library there.

#include <dlfcn.h>

#include <cstring>
#include <map>
#include <mutex>
#include <string>

#include "contract.h"

// A function of the library, or null with the reason. A team that is given takes the
// place of OpenMP's.
static void* function_of(const std::string& library, const char* name,
                         std::string& reason, contract::Team* team = nullptr) {
  static std::mutex mutex;
  static std::map<std::string, void*> opened;
  std::lock_guard<std::mutex> guard(mutex);
  void*& handle = opened[library];
  if (!handle) {
    void* fresh = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!fresh) {
      reason = "The compiled involution no longer exists: " + library;
      return nullptr;
    }
    auto describe =
        reinterpret_cast<contract::Describe*>(dlsym(fresh, "involution_contract"));
    if (!describe || std::strcmp(describe(), contract::description())) {
      reason = "The compiled involution has a different version: " + library;
      return nullptr;
    }
    if (team) *static_cast<contract::Team**>(dlsym(fresh, "involution_team")) = team;
    handle = fresh;
  }
  void* function = dlsym(handle, name);
  if (!function) reason = "The compiled involution has no function " + std::string(name);
  return function;
}

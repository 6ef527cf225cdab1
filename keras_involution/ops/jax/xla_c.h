// The part of XLA's C interface for functions of others (xla/ffi/api/c_api.h) that is
// used. It is declared here so that a library is compiled without XLA and serves its
// versions: what stands here is the same in the versions 0.1 to 0.3 of the interface.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace xla_c {

struct Extension {
  size_t struct_size;
  int type;
  Extension* next;
};
struct Version {
  size_t struct_size;
  Extension* extensions;
  int major, minor;
};

struct Error;
enum Code : int { invalid_argument = 3, not_found = 5, resource_exhausted = 8 };
struct ErrorArguments {
  size_t struct_size;
  Extension* extensions;
  const char* message;
  Code code;
};
struct Api {
  size_t struct_size;
  Extension* extensions;
  Version version;
  const void* internal;
  Error* (*create_error)(ErrorArguments*);
};

struct Buffer {
  size_t struct_size;
  Extension* extensions;
  int dtype;
  void* data;
  int64_t rank;
  int64_t* sizes;
};
struct Text {
  const char* data;
  size_t size;
  operator std::string_view() const { return {data, size}; }
};
struct Array {
  int dtype;
  size_t size;
  void* data;
};
struct Buffers {
  size_t struct_size;
  Extension* extensions;
  int64_t count;
  int* kinds;
  Buffer** at;
};
struct Attributes {
  size_t struct_size;
  Extension* extensions;
  int64_t count;
  int* kinds;
  Text** names;
  void** at;

  const void* find(std::string_view name) const {
    for (int64_t i = 0; i < count; ++i)
      if (*names[i] == name) return at[i];
    return nullptr;
  }
};
struct Call {
  size_t struct_size;
  Extension* extensions;
  const Api* api;
  void* context;
  int stage;
  Buffers arguments, results;
  Attributes attributes;

  Error* error(Code code, const char* message) const {
    ErrorArguments arguments = {sizeof(ErrorArguments), nullptr, message, code};
    return api->create_error(&arguments);
  }
};

// XLA asks every function once, instead of a call, which version it is written for.
struct Metadata {
  size_t struct_size;
  Version version;
  uint32_t traits;
};
struct MetadataExtension {
  Extension base;
  Metadata* metadata;
};

inline bool tells_version(const Call& call) {
  if (!call.extensions || call.extensions->type != 1) return false;
  Metadata& told = *reinterpret_cast<MetadataExtension*>(call.extensions)->metadata;
  told.version.major = 0;
  // Version 0.1 asks without an interface.
  told.version.minor = call.api ? std::clamp(call.api->version.minor, 1, 3) : 1;
  told.traits = 0;
  return true;
}

}  // namespace xla_c

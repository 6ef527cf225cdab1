// How the threads of one call share its tasks.

#pragma once

#include <atomic>

#include "contract.h"
#include "threads.h"

extern "C" contract::Team* involution_team;

namespace {

inline contract::Number threads_of(contract::Number threads) {
  return threads > 0 ? threads : threads_of_process();
}

// The threads take one task after the other until none is left. Returns whether one of
// them failed.
template <class Work>
int in_team(contract::Number threads, contract::Number count, const Work& work) {
  std::atomic<contract::Number> next{0};
  std::atomic<bool> failed{false};
  auto part = [&] {
    auto take = [&] {
      const contract::Number index = next++;
      return index < count ? index : count;
    };
    if (!work(take)) failed = true;
  };
  involution_team([](void* it) { (*static_cast<decltype(part)*>(it))(); }, &part,
                  threads);
  return failed;
}

}  // namespace

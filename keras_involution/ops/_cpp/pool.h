// A thread pool for TensorFlow, which calls operators from changing threads: OpenMP would
// start a team for each of them, and the teams spin while they wait for work.

#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <thread>

class Pool {
 public:
  // The caller works too, and other threads join if they arrive while there is work, so
  // no call waits for a thread that has not started.
  void run(void (*part)(void*), void* work, ptrdiff_t threads) {
    if (threads < 2) return part(work);
    Job job{part, work, threads - 1};
    std::unique_lock<std::mutex> guard(mutex);
    for (; started < threads - 1; ++started) std::thread([this] { serve(); }).detach();
    open.push_back(&job), ++count;
    guard.unlock();
    wake.notify_all();
    part(work);
    guard.lock();
    close(job);
    until(guard, done, [&job] { return job.running == 0; });
  }

 private:
  struct Job {
    void (*part)(void*);
    void* work;
    ptrdiff_t places;
    std::atomic<ptrdiff_t> running{0};
  };

  void serve() {
    std::unique_lock<std::mutex> guard(mutex);
    for (;;) {
      until(guard, wake, [this] { return count > 0; });
      Job& job = *open.front();
      ++job.running;
      if (--job.places == 0) close(job);
      guard.unlock();
      job.part(job.work);
      guard.lock();
      if (--job.running == 0) done.notify_all();
    }
  }

  void close(Job& job) {
    auto place = std::find(open.begin(), open.end(), &job);
    if (place != open.end()) open.erase(place), --count;
  }

  // Spins briefly before it sleeps: waking a thread takes as long as a small
  // involution.
  template <class Condition>
  void until(std::unique_lock<std::mutex>& guard, std::condition_variable& signal,
             Condition condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(100);
    while (!condition() && std::chrono::steady_clock::now() < end) {
      guard.unlock();
      for (int i = 0; i < 50 && !condition(); ++i) std::this_thread::yield();
      guard.lock();
    }
    signal.wait(guard, condition);
  }

  std::mutex mutex;
  std::condition_variable wake, done;
  std::deque<Job*> open;
  std::atomic<ptrdiff_t> count{0};
  ptrdiff_t started = 0;
};

// Not `inline`: libraries of several versions would share the pool.
[[maybe_unused]] static void team_of_pool(void (*part)(void*), void* work, ptrdiff_t threads) {
  static Pool* pool = new Pool;  // never deleted: its threads keep running
  pool->run(part, work, threads);
}

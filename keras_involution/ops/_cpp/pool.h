// Threads for frameworks whose operators are called from changing threads, where OpenMP
// would start a team for each of them, and the teams would wait for work by spinning.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>

typedef void Team(void (*part)(void*), void* work, ptrdiff_t threads);

class Pool {
 public:
  // The caller has a part itself, and others have one if they come while there is work:
  // nobody waits for a thread that has not begun. One call at a time has the threads,
  // and the others of that time do their work alone.
  void run(void (*part)(void*), void* work, ptrdiff_t threads) {
    std::unique_lock<std::mutex> use(in_use, std::try_to_lock);
    if (!use || threads < 2) return part(work);
    {
      std::lock_guard<std::mutex> guard(mutex);
      for (; started < threads - 1; ++started) std::thread([this] { wait(); }).detach();
      this->part = part, this->work = work, places = threads - 1;
    }
    wake.notify_all();
    part(work);
    std::unique_lock<std::mutex> guard(mutex);
    places = 0;
    until(guard, done, [this] { return running == 0; });
  }

 private:
  void wait() {
    std::unique_lock<std::mutex> guard(mutex);
    for (;;) {
      until(guard, wake, [this] { return places > 0; });
      --places, ++running;
      guard.unlock();
      part(work);
      guard.lock();
      if (--running == 0) done.notify_all();
    }
  }

  // Asleep, but for the first moments: waking a thread takes as long as a small
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

  std::mutex in_use, mutex;
  std::condition_variable wake, done;
  void (*part)(void*) = nullptr;
  void* work = nullptr;
  ptrdiff_t started = 0;
  std::atomic<ptrdiff_t> places{0}, running{0};
};

inline void team_of_pool(void (*part)(void*), void* work, ptrdiff_t threads) {
  static Pool* pool = new Pool;  // its threads outlive whatever ends the process
  pool->run(part, work, threads);
}

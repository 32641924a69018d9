// How the scenario tests wait: they poll a condition until a deadline. This is the only place of
// the tests that sleeps, so a search for a sleep elsewhere finds nothing, and a test that waits for
// the wrong thing fails with the words of what it waited for instead of passing by luck.
#pragma once

#include <chrono>
#include <functional>
#include <string>

namespace servers {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;
using std::chrono::seconds;

// Returns once `condition` holds; throws std::runtime_error naming `what` at the deadline. A
// condition that throws counts as false: servers under test are down at times.
void wait_until(const std::function<bool()>& condition, Milliseconds deadline,
                const std::string& what);

// The same as a question: did it become true within the period?
bool becomes_true(const std::function<bool()>& condition, Milliseconds period);

// Did it stay true for the whole period? For what must not happen.
bool stays_true(const std::function<bool()>& condition, Milliseconds period);

// Lets an outage last. Never use it to hope that something has happened meanwhile.
void let_pass(Milliseconds period);

// WALFERRY_TEST_LONG=1 runs the full figures, otherwise the scaled-down ones.
bool long_tests();
template <class T>
T scaled(T normal, T full) {
  return long_tests() ? full : normal;
}

}  // namespace servers

// Owners for libpq's pointers: a raw pointer from C lives for one statement.
#pragma once

#include <libpq-fe.h>

#include <memory>

namespace pg {

template <auto Close>
struct Closer {
  template <class T>
  void operator()(T* p) const noexcept {
    Close(p);
  }
};

using PgConnection = std::unique_ptr<PGconn, Closer<PQfinish>>;
using PgResult = std::unique_ptr<PGresult, Closer<PQclear>>;
using CopyBuffer = std::unique_ptr<char, Closer<PQfreemem>>;

}  // namespace pg

// What a record says that happened: CONTRACT.md, "Subjects".
#pragma once

#include "pg/change.h"

namespace connector {

enum class Op { insert, update, remove, truncate, snapshot };

inline Op op_of(const pg::Insert&) { return Op::insert; }
inline Op op_of(const pg::Update&) { return Op::update; }
inline Op op_of(const pg::Delete&) { return Op::remove; }

}  // namespace connector

#include "connector/structured_value.h"

#include <fmt/format.h>

#include <algorithm>

#include "connector/array_text.h"
#include "connector/composite_text.h"
#include "connector/hstore_text.h"

namespace connector {
namespace {

using Kind = pg::TypeShape::Kind;

// Only a composite can get another form under the same number. Types nest as deep as the catalog
// lets them, which is not deep.
bool may_change(const pg::TypeShape& shape) {
  return shape.kind == Kind::composite || (shape.kind == Kind::array && may_change(*shape.element));
}

}  // namespace

void StructuredValues::append(std::string& out, const pg::TypeShape& shape, std::string_view text) {
  if (!may_change(shape)) return append_fitting(out, shape, text, 0);
  const std::size_t begin = out.size();
  if (fits(out, shape, text)) {
    if (!misfits_.empty()) misfits_.erase(shape.id.value);
    return;
  }
  out.resize(begin);
  if (misfits_.insert(shape.id.value).second && types_.refresh(shape.id)) {
    if (fits(out, shape, text)) {
      misfits_.erase(shape.id.value);
      return;
    }
    out.resize(begin);
  }
  append_json_string(out, text);
  if (warned_of_.insert(shape.id.value).second) {
    types_.warn(fmt::format(
        "type {} has been altered: values from before are published as PostgreSQL's text",
        shape.name));
  }
}

bool StructuredValues::fits(std::string& out, const pg::TypeShape& shape, std::string_view text) {
  try {
    append_fitting(out, shape, text, 0);
    return true;
  } catch (const BadValue&) {
    return false;
  }
}

void StructuredValues::append_fitting(std::string& out, const pg::TypeShape& shape,
                                      std::string_view text, std::size_t depth) {
  switch (shape.kind) {
    case Kind::scalar: return append_json_value(out, kind_of(shape.base), text);
    case Kind::array: return append_array(out, shape, text, depth);
    case Kind::composite: return append_composite(out, shape, text, depth);
    case Kind::hstore: return append_hstore(out, text, depth);
  }
}

StructuredValues::Scratch& StructuredValues::scratch(std::size_t depth) {
  while (scratches_.size() <= depth) scratches_.emplace_back();
  return scratches_[depth];
}

void StructuredValues::append_array(std::string& out, const pg::TypeShape& shape,
                                    std::string_view text, std::size_t depth) {
  if (ArrayText::has_bounds(text)) return append_json_string(out, text);
  using Token = ArrayText::Token;
  ArrayText array(text, shape.delimiter, scratch(depth).first);
  const bool scalar = shape.element->kind == Kind::scalar;
  const JsonKind kind = scalar ? kind_of(shape.element->base) : JsonKind::string;
  bool first = true;
  for (Token token = array.next(); token != Token::end; token = array.next()) {
    if (token == Token::close) {
      out += ']';
      first = false;
      continue;
    }
    if (!first) out += ',';
    first = token == Token::open;
    if (token == Token::open) {
      out += '[';
    } else if (token == Token::null) {
      out += "null";
    } else if (scalar) {
      append_json_value(out, kind, array.element());
    } else {
      append_fitting(out, *shape.element, array.element(), depth + 1);
    }
  }
}

void StructuredValues::append_composite(std::string& out, const pg::TypeShape& shape,
                                        std::string_view text, std::size_t depth) {
  CompositeText row(text, scratch(depth).first);
  out += '{';
  bool first = true;
  for (const pg::TypeShape::Field& field : shape.fields) {
    if (!first) out += ',';
    first = false;
    append_json_string(out, field.name);
    out += ':';
    if (const auto value = row.next()) {
      append_fitting(out, *field.shape, *value, depth + 1);
    } else {
      out += "null";
    }
  }
  row.finish(shape.fields.size());
  out += '}';
}

void StructuredValues::append_hstore(std::string& out, std::string_view text, std::size_t depth) {
  Scratch& buffers = scratch(depth);
  HstoreText pairs(text, buffers.first, buffers.second);
  out += '{';
  bool first = true;
  while (const auto pair = pairs.next()) {
    if (!first) out += ',';
    first = false;
    append_json_string(out, pair->key);
    out += ':';
    if (pair->value) {
      append_json_string(out, *pair->value);
    } else {
      out += "null";
    }
  }
  out += '}';
}

}  // namespace connector

// Values for each type that a stock server has, the extremes among them: what the test of all
// types is made from.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace scenarios {

// By schema.name as pg_type has them: texts for the type's input function.
const std::map<std::string, std::vector<std::string>>& type_values();

}  // namespace scenarios

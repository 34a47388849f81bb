// language.hpp - the MQL4 language for translated programs: types, arrays, text, arithmetic.
#pragma once
#include "array.hpp"
#include "base.hpp"
#include "division.hpp"
#include "format.hpp"
#include "moment.hpp"
#include "program.hpp"
#include "text.hpp"

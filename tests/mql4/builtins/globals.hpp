// globals.hpp - docs.mql4.com/globals: variables of the terminal, shared by its programs
#pragma once
#include "runtime/moment.hpp"
#include "runtime/text.hpp"

// globals/globalvariableset: the time, 0 on failure. They outlive the terminal by four weeks, yet
// are written only by GlobalVariablesFlush and at the terminal's orderly end.
datetime GlobalVariableSet(const string &name, double value);
// globals/globalvariableget: 0 and error 4058 if there is none
double GlobalVariableGet(const string &name);
bool GlobalVariableGet(const string &name, double &value);
// globals/globalvariablecheck, globalvariabledel, globalvariabletime
bool GlobalVariableCheck(const string &name);
bool GlobalVariableDel(const string &name);
datetime GlobalVariableTime(const string &name);
// globals/globalvariabletemp: exists only while the terminal runs; false if there is one already
bool GlobalVariableTemp(const string &name);
// globals/globalvariablesetoncondition: atomic
bool GlobalVariableSetOnCondition(const string &name, double value, double check_value);
// globals/globalvariablestotal, globalvariablename, globalvariablesflush
int GlobalVariablesTotal();
string GlobalVariableName(int index);
void GlobalVariablesFlush();

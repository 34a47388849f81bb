// strings.hpp - docs.mql4.com/strings and docs.mql4.com/convert. Formatting is the run-time's.
#pragma once
#include "runtime/array.hpp"
#include "runtime/moment.hpp"
#include "runtime/text.hpp"

// docs.mql4.com/constants/namedconstants/codepageusage
enum { CP_ACP = 0, CP_OEMCP = 1, CP_UTF8 = 65001 };

// strings/stringlen
int StringLen(const string &text);
// strings/stringsubstr: length -1, and 0 too (a violation here): to the end
string StringSubstr(const string &text, int start, int length = -1);
// strings/stringfind: -1 if not found
int StringFind(const string &text, const string &match, int start = 0);
// strings/stringgetcharacter: 0 and error 5041 outside the text (a violation here)
ushort StringGetCharacter(const string &text, int position);
// strings/stringsetcharacter: position = length appends, character 0 cuts
bool StringSetCharacter(string &text, int position, ushort value);
// strings/stringreplace: the count of replacements, -1 on error
int StringReplace(string &text, const string &find, const string &replacement);
// strings/stringsplit: the count of parts; an empty text has none
int StringSplit(const string &text, ushort separator, MqlArray<string> &parts);
// strings/stringtrimleft, stringtrimright: a copy (in MQL5 they change their argument)
[[nodiscard]] string StringTrimLeft(const string &text);
[[nodiscard]] string StringTrimRight(const string &text);
// strings/stringtoupper, stringtolower
bool StringToUpper(string &text);
bool StringToLower(string &text);
// strings/stringcompare
int StringCompare(const string &first, const string &second, bool case_sensitive = true);
// strings/stringadd
bool StringAdd(string &text, const string &more);
// convert/chartostring, shorttostring
string CharToString(uchar code);
string ShortToString(ushort code);
// convert/stringtointeger: digits up to the first other character
long StringToInteger(const string &text);
// convert/stringtodouble: 0 if it does not begin with a number
double StringToDouble(const string &text);
// convert/stringtotime: "yyyy.mm.dd hh:mi", or a part of it
datetime StringToTime(const string &text);
// convert/stringtochararray: with count -1 the terminating 0 is copied too; never shrinks a target
int StringToCharArray(const string &text, MqlArray<uchar> &array, int start = 0,
                      int count = WHOLE_ARRAY, uint codepage = CP_ACP);
// convert/chararraytostring: up to the first 0
string CharArrayToString(const MqlArray<uchar> &array, int start = 0, int count = WHOLE_ARRAY,
                         uint codepage = CP_ACP);

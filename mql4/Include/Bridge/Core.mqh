//+------------------------------------------------------------------+
//| Core.mqh: the floor of the Advisor, all of it                     |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Limits.mqh>
#include <Bridge/Codes.mqh>
#include <Bridge/Bytes.mqh>
#include <Bridge/Text.mqh>
#include <Bridge/Hash.mqh>
#include <Bridge/Mac.mqh>
#include <Bridge/Decimal.mqh>
#include <Bridge/Body.mqh>
#include <Bridge/Token.mqh>
#include <Bridge/Tag.mqh>
#include <Bridge/Record.mqh>
#include <Bridge/Json.mqh>
#include <Bridge/FlatJson.mqh>
#include <Bridge/Keys.mqh>
#include <Bridge/Clock.mqh>
#include <Bridge/Deadline.mqh>
#include <Bridge/Journal.mqh>
#include <Bridge/State.mqh>
#include <Bridge/SelfTest.mqh>
//+------------------------------------------------------------------+

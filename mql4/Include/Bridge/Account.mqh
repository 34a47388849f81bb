//+------------------------------------------------------------------+
//| Account.mqh: is this the account, and may it be traded now?       |
//|                                                                   |
//| Asked before every broker call: between two of them a terminal    |
//| can be logged in to another account.                              |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Codes.mqh>

class CAccount {
private:
   long   m_number;
   string m_server;
   bool   m_allow_real;

public:
          CAccount(void);
   void   Expect(long number, string server, bool allow_real);
   bool   IsReal(void);
   bool   IsRight(string &wanted, string &found);
   bool   MayBeRead(void);
   bool   IsBusy(void);
   string Refusal(string &wanted, string &found);
};

CAccount::CAccount(void) {
   m_number = 0;
   m_server = "";
   m_allow_real = false;
}

//--- The account of the inputs. Number 0 or no server: the user has not said which account
//    this is, and nothing is traded.
void CAccount::Expect(long number, string server, bool allow_real) {
   m_number = number;
   m_server = server;
   m_allow_real = allow_real;
}

bool CAccount::IsReal(void) {
   return(!IsDemo());
}

//--- Return whether this is the account of the inputs; else what was wanted and what is there.
bool CAccount::IsRight(string &wanted, string &found) {
   wanted = IntegerToString(m_number);
   found = IntegerToString(AccountNumber());
   if(m_number <= 0 || m_number != AccountNumber()) return(false);
   wanted = m_server;
   found = AccountServer();
   if(StringLen(m_server) == 0 || wanted != found) return(false);
   wanted = "demo";
   found = IsReal() ? "real" : "demo";
   return(m_allow_real || !IsReal());
}

//--- Whether what the terminal shows concerns the user: no account was named, or it is this one.
bool CAccount::MayBeRead(void) {
   string wanted, found;
   return(m_number == 0 || IsRight(wanted, found));
}

//--- One program of a terminal has the trade context at a time.
bool CAccount::IsBusy(void) {
   return(IsTradeContextBusy());
}

//--- The ReasonCode that forbids a broker call now, or "". It waits for nothing.
string CAccount::Refusal(string &wanted, string &found) {
   wanted = "";
   found = "";
   if(!IsConnected()) return(CODE_BROKER_DOWN);    // who it is cannot be known for sure either
   if(!IsRight(wanted, found)) return(CODE_ACCOUNT_MISMATCH);
   wanted = "";
   found = "";
   if(!IsExpertEnabled()) return(CODE_TRADE_DISABLED);
   // IsTradeAllowed() is false also while the context is busy (MQL4 reference, check), which
   // passes by itself.
   if(!IsTradeAllowed() && !IsBusy()) return(CODE_TRADE_DISABLED);
   return("");
}
//+------------------------------------------------------------------+

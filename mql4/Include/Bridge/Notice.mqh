//+-------------------------------------------------------------------+
//| Notice.mqh: what keeps the Advisor from trading, said once        |
//|                                                                   |
//| All of this mends itself or is mended by a click, so nothing      |
//| stops: the link stays up, the desk refuses by itself, the note    |
//| goes with every beat. A text is printed when it comes, another    |
//| line when it has gone.                                            |
//+-------------------------------------------------------------------+
#property strict
#include <Bridge/Account.mqh>

class CNotice {
private:
   string m_note;

   string Find(CAccount &account, long expected);

public:
   CNotice(void) { m_note = ""; }
   string Note(void) { return(m_note); }
   void Look(CAccount &account, long expected);
};

//--- the first of them, "" if there is none
string CNotice::Find(CAccount &account, long expected) {
   string wanted = "", found = "";
   if(expected == 0)
      return("ExpectedAccount is 0: no order will be carried out; give the account's number");
   if(IsConnected() && !account.IsRight(wanted, found))
      return("wrong account: wanted " + wanted + ", this is " + found
              + "; log in to the right one, or change ExpectedAccount, ExpectedServer, AllowReal");
   if(!IsExpertEnabled()) return("algo trading is off: press the button AutoTrading");
   if(!IsConnected()) return("the terminal is not connected to the broker: waiting");
   if(!IsTradeAllowed() && !IsTradeContextBusy())
      return("this Advisor may not trade: tick `Allow live trading` in its tab Common");
   return("");
}

//--- each second
void CNotice::Look(CAccount &account, long expected) {
   string note = Find(account, expected);
   if(note == m_note) return;
   if(StringLen(note) > 0) Print("Bridge: ", note);
   else Print("Bridge: that is settled: ", m_note);
   m_note = note;
}
//+-------------------------------------------------------------------+

//+------------------------------------------------------------------+
//| Alerts.mqh: what a person should hear of, until somebody takes it |
//|                                                                   |
//| Bounded: when it is full the oldest goes and a count remains. One |
//| that was raised lately is not raised again, so that a lasting     |
//| fault, found at each turn, is one alert.                          |
//+------------------------------------------------------------------+
#property strict

#define ALERTS_MAX 32
#define ALERTS_LATELY 8

class CAlerts {
private:
   string m_level[];
   string m_code[];
   string m_message[];
   string m_lately[ALERTS_LATELY];
   int    m_next;
   int    m_lost;

public:
          CAlerts(void) { m_next = 0; m_lost = 0; }
   void   Raise(string level, string code, string message);
   bool   Take(string &level, string &code, string &message);
   int    Lost(void);
};

//--- `level`: info, warning or error.
void CAlerts::Raise(string level, string code, string message) {
   string text = code + " " + message;
   for(int i = 0; i < ALERTS_LATELY; i++)
      if(m_lately[i] == text) return;
   m_lately[m_next] = text;
   m_next = (m_next + 1) % ALERTS_LATELY;
   int count = ArraySize(m_level);
   if(count >= ALERTS_MAX) {
      string dropped_level, dropped_code, dropped_message;
      if(Take(dropped_level, dropped_code, dropped_message)) m_lost++;
      count = ArraySize(m_level);
   }
   ArrayResize(m_level, count + 1);
   ArrayResize(m_code, count + 1);
   ArrayResize(m_message, count + 1);
   m_level[count] = level;
   m_code[count] = code;
   m_message[count] = message;
}

//--- The oldest one; false if there is none.
bool CAlerts::Take(string &level, string &code, string &message) {
   int count = ArraySize(m_level);
   level = "";
   code = "";
   message = "";
   if(count == 0) return(false);
   level = m_level[0];
   code = m_code[0];
   message = m_message[0];
   for(int i = 1; i < count; i++) {
      m_level[i - 1] = m_level[i];
      m_code[i - 1] = m_code[i];
      m_message[i - 1] = m_message[i];
   }
   ArrayResize(m_level, count - 1);
   ArrayResize(m_code, count - 1);
   ArrayResize(m_message, count - 1);
   return(true);
}

int CAlerts::Lost(void) {
   return(m_lost);
}
//+------------------------------------------------------------------+

// orders.hpp - docs.mql4.com/trading
//
// Stricter than the terminal: an order that was selected in one event handler is not selected in
// the next, and any Order*() reader without a selected order is a violation.
#pragma once
#include "runtime/moment.hpp"
#include "runtime/text.hpp"

// docs.mql4.com/constants/tradingconstants/orderproperties
enum { OP_BUY, OP_SELL, OP_BUYLIMIT, OP_SELLLIMIT, OP_BUYSTOP, OP_SELLSTOP };
// docs.mql4.com/trading/orderselect
enum { SELECT_BY_POS, SELECT_BY_TICKET };
enum { MODE_TRADES, MODE_HISTORY };

// trading/ordersend: the ticket, -1 on failure
[[nodiscard]] int OrderSend(const string &symbol, int cmd, double volume, double price,
                            int slippage, double stoploss, double takeprofit,
                            const string &comment = string(), int magic = 0,
                            datetime expiration = 0, color arrow_color = clrNONE);
// trading/ordermodify: error 1 for unchanged values
[[nodiscard]] bool OrderModify(int ticket, double price, double stoploss, double takeprofit,
                               datetime expiration, color arrow_color = clrNONE);
// trading/orderclose
[[nodiscard]] bool OrderClose(int ticket, double lots, double price, int slippage,
                              color arrow_color = clrNONE);
// trading/orderdelete
[[nodiscard]] bool OrderDelete(int ticket, color arrow_color = clrNONE);
// trading/orderselect: copies the order; by ticket the pool counts for nothing
[[nodiscard]] bool OrderSelect(int index, int select, int pool = MODE_TRADES);
// trading/orderstotal, ordershistorytotal (what the Account History tab shows)
int OrdersTotal();
int OrdersHistoryTotal();
// trading/orderticket and the other readers of the selected order
int OrderTicket();
int OrderType();
double OrderLots();
double OrderOpenPrice();
double OrderClosePrice();
datetime OrderOpenTime();
datetime OrderCloseTime();
double OrderStopLoss();
double OrderTakeProfit();
double OrderProfit();
double OrderSwap();
double OrderCommission();
datetime OrderExpiration();
int OrderMagicNumber();
string OrderSymbol();
string OrderComment();

"""Look-back (追溯评价): what rests on a check, a certificate or a control that turned out not to hold."""

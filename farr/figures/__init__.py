"""What people see of an answer: tables, exports, alarms, comparisons."""

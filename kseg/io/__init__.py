"""Every file that kseg reads or writes goes through here."""

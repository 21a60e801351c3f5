"""One function per user-visible step: reads, calls, writes; owns folders, logging and progress."""

"""From variants through images to outcomes: instruments, shared signals, mediation."""

"""Floor 1: the C core; one stable-ABI extension a folder."""

SELECT COUNT(*) FROM admission

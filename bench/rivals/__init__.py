"""What people use instead, written as well as they would write it."""

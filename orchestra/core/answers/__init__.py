"""What answers are made of: choices in any form, leaves of nested values, objects of a type."""

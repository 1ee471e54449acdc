"""What sends no webhooks: only who asks again notices that it changed."""

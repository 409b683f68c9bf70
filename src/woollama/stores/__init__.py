"""Where conversations are kept: handles in a database, transcripts in whatever `conversationStore` names."""

// Fill BOOTSTRAP GROUP TOPIC PARTITIONS…: makes a topic whose partitions each hold so many records, of which the group has
// read so many: `12/10`, or `12/-` for a partition that it never read.
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArraySerializer;

class Fill {
    public static void main(String[] arguments) throws Exception {
        String group = arguments[1], topic = arguments[2];
        Map<String, Object> settings = Map.of("bootstrap.servers", arguments[0]);
        Map<TopicPartition, OffsetAndMetadata> read = new HashMap<>();
        try (Admin admin = Admin.create(settings);
                KafkaProducer<byte[], byte[]> producer =
                        new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            int partitions = arguments.length - 3;
            admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1))).all().get();
            for (int partition = 0; partition < partitions; partition++) {
                String[] counts = arguments[partition + 3].split("/");
                for (int record = 0; record < Integer.parseInt(counts[0]); record++) {
                    producer.send(new ProducerRecord<>(topic, partition, null, new byte[1]));
                }
                if (!counts[1].equals("-")) {
                    var offset = new OffsetAndMetadata(Long.parseLong(counts[1]));
                    read.put(new TopicPartition(topic, partition), offset);
                }
            }
            producer.flush();
            if (!read.isEmpty()) {
                admin.alterConsumerGroupOffsets(group, read).all().get();
            }
        }
    }
}

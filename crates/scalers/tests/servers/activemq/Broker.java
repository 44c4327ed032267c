// Broker QUEUE COUNT: a broker `shop` with one queue that holds so many messages, until it is stopped.
import java.util.Collections;
import org.apache.activemq.ActiveMQConnectionFactory;
import org.apache.activemq.broker.BrokerService;
import org.apache.activemq.command.ActiveMQDestination;
import org.apache.activemq.command.ActiveMQQueue;

class Broker {
    public static void main(String[] arguments) throws Exception {
        BrokerService broker = new BrokerService();
        broker.setBrokerName("shop");
        broker.setPersistent(false);
        broker.setUseJmx(true);
        broker.getManagementContext().setCreateConnector(false);
        ActiveMQDestination queue = new ActiveMQQueue(arguments[0]);
        broker.setDestinations(new ActiveMQDestination[] {queue});
        broker.start();
        broker.waitUntilStarted();
        var connection = new ActiveMQConnectionFactory("vm://shop").createConnection();
        var session = connection.createSession(false, 1);
        var producer = session.createProducer((ActiveMQQueue) queue);
        for (int message = 0; message < Integer.parseInt(arguments[1]); message++) {
            producer.send(session.createTextMessage("order"));
        }
        connection.close();
        System.out.println("ready");
        broker.waitUntilStopped();
    }
}
